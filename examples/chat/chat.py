#!/usr/bin/env python3
"""A chat: starts hasses and a web server, and says which address to open. Ctrl-C ends both.

    examples/chat/chat.py [ADDRESS:PORT]

Only the standard library is needed. Messages go to hasses over TCP, as JSON lines.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = '127.0.0.1:8000'
CONTROL = re.compile(r'[\x00-\x1f\x7f-\x9f]')
MOST_TEXT = 3000  # bytes of UTF-8


class Refusal(Exception):
    """Why a request is not done: an HTTP status and a text for people."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


def is_word(text, most):
    return isinstance(text, str) and len(text) <= most and re.fullmatch(r'[\w-]+', text)


def message(body):
    """The message for hasses; without a text it tells the others that somebody types."""
    try:
        said = json.loads(body)
        room, name, person, text = (said.get(key) for key in ('room', 'name', 'id', 'text'))
        json.dumps(said, ensure_ascii=False).encode()  # fails at half a surrogate pair
    except (ValueError, AttributeError):
        raise Refusal(400, 'this is no JSON in UTF-8') from None
    if not is_word(room, 32):
        raise Refusal(400, "a room's name is 1 to 32 letters, digits, - and _")
    if not is_word(person, 64):
        raise Refusal(400, 'the id is missing or wrong')
    if not isinstance(name, str) or not name.strip() or len(name) > 40 or CONTROL.search(name):
        raise Refusal(400, 'a name is 1 to 40 characters, on one line')
    data = {'room': room, 'id': person, 'name': name}
    to = f'chat:{room}'
    if text is None:
        # It is told to all others in the room, and not kept.
        typing = json.dumps(data)
        return {'to': to, 'event': 'typing', 'data': typing, 'except': person, 'retain': False}
    if not isinstance(text, str) or not text.strip():
        raise Refusal(400, 'the message is empty')
    if len(text.encode()) > MOST_TEXT:
        raise Refusal(413, 'the message is too long: 3000 bytes are the most')
    if CONTROL.search(text.replace('\n', '').replace('\t', '')):
        raise Refusal(400, 'the message holds control characters')
    return {'to': to, 'data': json.dumps(data | {'text': text})}


def publish(message, control):
    """Writes one JSON line to hasses and waits until it has taken it in."""
    line = json.dumps(message | {'ack': True}) + '\n'
    try:
        with socket.create_connection(control, timeout=5) as hasses:
            hasses.sendall(line.encode())
            answer = json.loads(hasses.makefile().readline())
    except (OSError, ValueError):
        raise Refusal(503, 'hasses did not answer') from None
    if 'error' in answer:
        raise Refusal(502, 'hasses refused it')


class Handler(SimpleHTTPRequestHandler):
    """The page's files, GET /where and POST /say."""

    timeout = 10
    events = control = None

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=HERE / 'page')

    def do_GET(self):
        if self.path == '/where':
            self.answer(200, {'port': self.events[1]})
        else:
            super().do_GET()

    def do_POST(self):
        try:
            if self.path != '/say':
                raise Refusal(404, 'there is nothing here')
            # A page of another site can send a form here, but no JSON.
            if self.headers.get_content_type() != 'application/json':
                raise Refusal(415, 'this is not application/json')
            length = self.headers.get('Content-Length', '')
            if not length.isdecimal() or int(length) > 16384:
                raise Refusal(413, 'this is too long')
            publish(message(self.rfile.read(int(length))), self.control)
            self.answer(200, {})
        except Refusal as refusal:
            self.answer(refusal.status, {'error': str(refusal)})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nobody wants to read each request."""


def program():
    """$HASSES, else the one built here, else that of PATH, else it is built."""
    built = HERE.parents[1] / 'target/release/hasses'
    if 'HASSES' in os.environ:
        return os.environ['HASSES']
    if not built.exists():
        if found := shutil.which('hasses'):
            return found
        subprocess.run(['cargo', 'build', '--release', '--bin', 'hasses'], cwd=HERE, check=True)
    return built


def free_address(host):
    with socket.create_server((host, 0)) as server:
        return server.getsockname()


def start(events, control, directory):
    """Starts hasses and waits until it answers."""
    hasses = subprocess.Popen(
        [program(), '--listen', '%s:%d' % events, '--control', '%s:%d' % control,
         '--retry', '1000', '--log-level', 'quiet', '--presence', 'chat:*', '--history-file', f'{directory}/history'],
        stdin=subprocess.DEVNULL, stderr=open(f'{directory}/log', 'w'),
        start_new_session=True)  # Ctrl-C is for this program, which then ends hasses.
    while hasses.poll() is None:
        try:
            socket.create_connection(control).close()
            return hasses
        except OSError:
            time.sleep(0.02)
    sys.exit('chat: hasses did not start\n' + Path(f'{directory}/log').read_text())


def main():
    host, port = (sys.argv[1] if len(sys.argv) > 1 else PAGE).rsplit(':', 1)
    try:
        server = ThreadingHTTPServer((host, int(port)), Handler)
    except OSError as error:
        if len(sys.argv) > 1:
            sys.exit(f'chat: {host}:{port}: {error.strerror}')
        server = ThreadingHTTPServer((host, 0), Handler)
    Handler.events, Handler.control = free_address(host), free_address('127.0.0.1')
    # Whatever ends this program ends it in the same way.
    for name in ('SIGINT', 'SIGTERM', 'SIGHUP'):
        signal.signal(getattr(signal, name), lambda *_: sys.exit())
    with tempfile.TemporaryDirectory(prefix='hasses-chat-') as directory:
        hasses = start(Handler.events, Handler.control, directory)
        try:
            print('Open http://%s:%d/ in two windows. Ctrl-C ends it.' % server.server_address, flush=True)
            server.serve_forever()
        finally:
            hasses.terminate()
            hasses.wait()


if __name__ == '__main__':
    main()
