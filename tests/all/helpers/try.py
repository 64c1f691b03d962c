"""Does with hasses.py what its test asks: try.py FOLDER COMMAND ARGUMENTS… Writes JSON."""
import asyncio
import json
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
folder, command, *arguments = sys.argv[1:]
sys.path.insert(0, folder)
import hasses  # noqa: E402

begin = time.monotonic()
try:
    if command == 'publish':
        address, secret, to, data, more = arguments
        client = hasses.Hasses(address, secret or None, 1.0)
        told = client.publish(json.loads(to), json.loads(data), **json.loads(more))._asdict()
    elif command == 'async':
        async def several():
            client = hasses.AsyncHasses(arguments[0])
            return await asyncio.gather(*(client.publish('a', str(number)) for number in range(5)))
        told = [one._asdict() for one in asyncio.run(several())]
    elif command == 'many':
        client = hasses.Hasses(arguments[0])
        told = [one._asdict() for one in client.publish_many([hasses.message('a', 'one'), hasses.message('b', 'two', event='e')])]
    elif command == 'members':
        told = hasses.Hasses(arguments[0]).members(arguments[1])
    elif command == 'sign':
        told = hasses.sign(json.loads(arguments[1]), Path(arguments[0]), **json.loads(arguments[2]))
    elif command == 'jwt':
        told = hasses.jwt(json.loads(arguments[1]), Path(arguments[0]), **json.loads(arguments[2]))
except hasses.HassesError as error:
    told = {'error': str(error), 'status': error.status, 'seconds': time.monotonic() - begin}
print(json.dumps(told))
