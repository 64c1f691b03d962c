"""hasses from Python 3.8 or later: publishing, signed queries, JWTs, presence. Standard library only; copy this file.

    hasses = Hasses('http://127.0.0.1:8085')           # or https://…, unix:/run/hasses/control.sock,
    hasses.publish('room1', {'text': 'hello'})         # tcp:127.0.0.1:8085, fifo:/run/hasses/in
    query = sign(['room1'], Path('/etc/hasses/secret'), seconds=60)

    hasses = AsyncHasses('http://127.0.0.1:8085')      # the same with asyncio
    await hasses.publish('room1', 'hello')

No call takes longer than `timeout` seconds (looking up a host's name aside), whatever hasses does.
"""
import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import select
import socket
import ssl
import stat
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlsplit

Key = Union[str, bytes, Path]


class HassesError(Exception):
    """hasses refused it, and `status` is that of HTTP; or 0: it is not confirmed, and may be published all the same."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class Published(NamedTuple):
    """What became of a message. Through a pipe nothing is known of it."""

    id: Optional[int] = None
    recipients: Optional[int] = None
    repeated: bool = False


def message(to: Union[str, Sequence[str]], data: Any, event: Optional[str] = None, exclude: Optional[str] = None,
            retain: bool = True, private: Optional[bool] = None, key: Optional[str] = None) -> Dict[str, Any]:
    """A message. `to` is a token, `prefix*`, `*`, or several; what is no string is sent as JSON.

    `exclude` is the id of a client that does not get it. `retain=False`: it is not kept for replay. With a `key` it
    is published once, however often it is sent within five minutes.
    """
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    whole = {'to': to if isinstance(to, str) else list(to), 'data': text, 'event': event, 'except': exclude,
             'retain': None if retain else False, 'private': private, 'key': key}
    return {name: value for name, value in whole.items() if value is not None}


class _Address:
    """Where hasses is reached, and what is said there. Nothing is sent here."""

    def __init__(self, address: str, secret: Optional[str]) -> None:
        self.kind, _, self.path = address.partition(':')
        self.secret, self.prefix, self.tls, self.host, self.port = secret, '', self.kind == 'https', 'localhost', 0
        if self.kind in ('http', 'https', 'tcp'):
            url = urlsplit(address if '//' in address else f'{self.kind}://{self.path}')
            self.host, self.prefix = url.hostname or '127.0.0.1', url.path.rstrip('/')
            self.port = url.port or (443 if self.tls else 80 if self.kind == 'http' else 8085)
        elif self.kind not in ('unix', 'fifo'):
            raise ValueError(f'{address!r} is no address: it begins with http:, https:, unix:, tcp: or fifo:')

    def request(self, method: str, path: str, body: bytes = b'') -> bytes:
        host = f'[{self.host}]' if ':' in self.host else self.host
        # HTTP/1.0: the answer ends with the connection, and is not cut into chunks.
        lines = [f'{method} {self.prefix}{path} HTTP/1.0', f'Host: {host}:{self.port}' if self.port else f'Host: {host}']
        if self.secret:
            lines.append(f'Authorization: Bearer {self.secret}')
        if method == 'POST':
            lines += ['Content-Type: application/json', f'Content-Length: {len(body)}']
        return '\r\n'.join(lines + ['', '']).encode() + body

    def lines(self, messages: List[Dict[str, Any]], ack: bool) -> bytes:
        first = f'auth {self.secret}\n' if self.secret and self.kind == 'tcp' else ''
        return (first + ''.join(json.dumps({**one, 'ack': True} if ack else one) + '\n' for one in messages)).encode()


def _answer(raw: bytes) -> Tuple[Any, Dict[str, str]]:
    """The JSON of a whole HTTP answer, and its fields."""
    head, _, body = raw.partition(b'\r\n\r\n')
    first, *lines = head.decode('latin-1').split('\r\n')
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(':') for line in lines)}
    try:
        status = int(first.split(' ')[1])
        answer = json.loads(body)
    except (ValueError, IndexError):
        raise HassesError(f'this is no answer of hasses: {first[:100]!r}') from None
    if status != 200:
        raise HassesError(str(answer.get('error', first) if isinstance(answer, dict) else first), status)
    return answer, fields


def _write_fifo(path: str, line: bytes, deadline: float) -> None:
    """Writes into the named pipe, in one piece (as many may write at once) or not at all."""
    if len(line) > select.PIPE_BUF:
        raise HassesError(f'the message is too long for a pipe: {len(line)} bytes, and {select.PIPE_BUF} are the most', 413)
    try:
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            raise HassesError(f'{path} is no named pipe')
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # fails at once where nobody reads
    except OSError as error:
        raise HassesError(f'hasses does not read {path}: {error.strerror}') from None
    try:
        while select.select([], [pipe], [], max(0.0, deadline - time.monotonic()))[1]:
            try:
                os.write(pipe, line)
                return
            except BlockingIOError:
                time.sleep(0.005)  # there is room, but not for all of it
        raise HassesError(f'{path} is full')
    except OSError as error:
        raise HassesError(f'{path}: {error.strerror}') from None
    finally:
        os.close(pipe)


class Hasses:
    """Where messages are published. `secret` is that of --control-secret."""

    def __init__(self, address: str = 'http://127.0.0.1:8085', secret: Optional[str] = None, timeout: float = 2.0) -> None:
        self._address, self._timeout = _Address(address, secret), timeout

    def publish(self, to: Union[str, Sequence[str]], data: Any, **more: Any) -> Published:
        """Publishes one message; `more` as of `message`. With a `key`, a connection that failed is tried once more."""
        return self.publish_many([message(to, data, **more)])[0]

    def publish_many(self, messages: Iterable[Dict[str, Any]]) -> List[Published]:
        """Publishes several, made by `message`: all or none of them (over tcp: and fifo: each for itself)."""
        several, deadline = list(messages), time.monotonic() + self._timeout
        if self._address.kind == 'fifo':
            for one in several:
                _write_fifo(self._address.path, self._address.lines([one], False), deadline)
            return [Published() for _ in several]
        again = all('key' in one for one in several)
        try:
            answers = self._send(several, deadline - (self._timeout / 2 if again else 0))
        except HassesError as error:
            if error.status or not again:
                raise
            answers = self._send(several, deadline)
        return [Published(answer['id'], answer['recipients'], bool(answer.get('repeated'))) for answer in answers]

    def members(self, token: str) -> Dict[str, Any]:
        """Who listens to a token: `{'members': [{'id', 'info', 'streams', 'since'}], 'anonymous', 'position'}`."""
        path: Optional[str] = f'/presence/{quote(token, safe="")}'
        whole: Dict[str, Any] = {}
        while path:
            answer, fields = self._get(path)
            whole = {**answer, 'members': whole.get('members', []) + answer['members']}
            link = re.match(r'<([^>]+)>; *rel="?next', fields.get('link', ''))
            path = link and link.group(1)
        return whole

    def _send(self, several: List[Dict[str, Any]], deadline: float) -> List[Dict[str, Any]]:
        if self._address.kind != 'tcp':
            request = self._address.request('POST', '/publish', json.dumps(several).encode())
            return _answer(self._exchange(request, deadline))[0]
        answers = [json.loads(line) for line in self._exchange(self._address.lines(several, True), deadline).splitlines()]
        for answer in answers + [{'error': 'there is no answer'}] * (len(several) - len(answers)):
            if 'error' in answer:
                raise HassesError(answer['error'], 400)
        return answers

    def _get(self, path: str) -> Tuple[Any, Dict[str, str]]:
        return _answer(self._exchange(self._address.request('GET', path), time.monotonic() + self._timeout))

    def _exchange(self, sent: bytes, deadline: float) -> bytes:
        """Sends, and reads to the end of the connection."""
        where, connection = self._address, None

        def left() -> float:
            if deadline <= time.monotonic():
                raise socket.timeout('timed out')
            return deadline - time.monotonic()
        try:
            if where.kind == 'unix':
                connection = socket.socket(socket.AF_UNIX)
                connection.settimeout(left())
                connection.connect(where.path)
            else:
                connection = socket.create_connection((where.host, where.port), left())
            connection.settimeout(left())
            if where.tls:
                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=where.host)
            connection.sendall(sent)
            if where.kind == 'tcp':
                connection.shutdown(socket.SHUT_WR)
            raw = b''
            while True:
                connection.settimeout(left())
                piece = connection.recv(65536)
                if not piece:
                    return raw
                raw += piece
        except OSError as error:
            raise HassesError('not confirmed: no answer in time' if isinstance(error, socket.timeout) else f'hasses cannot be reached: {error}') from None
        finally:
            if connection:
                connection.close()


class AsyncHasses:
    """The same for asyncio: `await hasses.publish('room1', 'hello')`."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._hasses = Hasses(*arguments, **more)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._hasses, name)
        # In a thread, as each call has an end of its own; so the loop goes on meanwhile.
        return lambda *given, **more: asyncio.get_running_loop().run_in_executor(None, lambda: call(*given, **more))


def _bytes(key: Key) -> bytes:
    raw = re.sub(rb'\n\Z', b'', key.read_bytes()) if isinstance(key, Path) else key.encode() if isinstance(key, str) else key
    if not raw:
        raise ValueError('the key is empty')
    return raw


def sign(tokens: Sequence[str], key: Key, seconds: int = 60, id: Optional[str] = None, info: Any = None,
         presence: bool = False, until: bool = False) -> str:
    """A signed query for these tokens. `until=True`: the stream ends with it. A `Path` is the key's file."""
    parts = ['subscribe=*' if token == '*' else f'token={quote(token, safe="")}' for token in tokens]
    parts += [f'{name}={quote(value, safe="")}' for name, value in (('id', id), ('info', info if info is None else json.dumps(info))) if value]
    parts += ['presence=1'] * presence + ['until=1'] * until + [f'expires={int(time.time()) + seconds}']
    query = '&'.join(parts)
    return f'{query}&sign={hmac.new(_bytes(key), query.encode(), hashlib.sha256).hexdigest()}'


def jwt(tokens: Sequence[str], key: Key, seconds: int = 3600, id: Optional[str] = None, info: Any = None,
        presence: bool = False) -> str:
    """A JWT (HS256) for these tokens; `room_*` is a prefix. For the cookie `hasses`, or `auth=` in the query."""
    now = int(time.time())
    claims = {'subscribe': list(tokens), 'iat': now, 'exp': now + seconds, 'id': id, 'info': info, 'presence': presence or None}
    parts = [{'alg': 'HS256', 'typ': 'JWT'}, {name: value for name, value in claims.items() if value is not None}]
    encode = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b'=')
    text = b'.'.join(encode(json.dumps(part, separators=(',', ':')).encode()) for part in parts)
    return (text + b'.' + encode(hmac.new(_bytes(key), text, hashlib.sha256).digest())).decode()
