"""Does a job, and tells its user how far it is: worker.py TOKEN JOB."""
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.environ['CLIENTS'])
from hasses import Hasses, HassesError  # noqa: E402

token, job = sys.argv[1:]
hasses = Hasses(os.environ['HASSES_CONTROL'])
for percent in range(0, 101, 10):
    try:
        hasses.publish(token, {'job': job, 'percent': percent}, event='progress')
    except HassesError as error:
        print(f'{job}: {error}', file=sys.stderr)  # the job goes on; the page sees the next step
    time.sleep(0.2)
