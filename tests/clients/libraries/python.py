"""Subscribes with the libraries for Python, all at once.

    python python.py URL

Writes NAME and what came, as JSON {type, data, id}: an event. Libraries that do not come back by themselves are asked
to, as their users write it.
"""
import asyncio
import importlib.util
import json
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import httpx
import requests
import sseclient as sseclient_py  # the folder sseclient is that of sseclient-py …
from aiohttp_sse_client import client as aiohttp_sse_client
from httpx_sse import connect_sse

# … and the file sseclient.py beside it that of sseclient.
spec = importlib.util.spec_from_file_location('sseclient_py', Path(sseclient_py.__file__).parents[1] / 'sseclient.py')
sseclient = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sseclient)

URL = sys.argv[1]


alone = threading.Lock()


def show(name, kind, data, last_id):
    with alone:
        print(f'{name}: {json.dumps({"type": kind or "message", "data": data, "id": last_id})}', flush=True)


def again(follow):
    """Follows a stream, and again behind the last event when it has ended."""
    last = {}
    while True:
        try:
            for last_id in follow({'Last-Event-ID': last['id']} if last else {}):
                if last_id:
                    last['id'] = last_id
        except (requests.RequestException, httpx.HTTPError):
            pass
        time.sleep(0.3)


def by_httpx_sse(headers):
    with httpx.Client(timeout=30) as client:
        with connect_sse(client, 'GET', f'{URL}&id=httpx', headers=headers) as source:
            for event in source.iter_sse():
                show('httpx-sse', event.event, event.data, event.id)
                yield event.id


def by_sseclient_py(headers):
    response = requests.get(f'{URL}&id=sseclient-py', stream=True, headers=headers, timeout=30)
    for event in sseclient_py.SSEClient(response).events():
        show('sseclient-py', event.event, event.data, event.id)
        yield event.id


def by_requests(headers):
    """Line by line, as many do it without a library; with the encoding that the answer's type says."""
    response = requests.get(f'{URL}&id=requests', stream=True, headers=headers, timeout=30)
    block = {}
    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
        if line:
            field, _, value = line.partition(':')
            value = value.removeprefix(' ')
            block[field] = f'{block[field]}\n{value}' if field == 'data' and field in block else value
            continue
        if 'data' in block:
            show('requests', block.get('event'), block['data'], block.get('id', ''))
            yield block.get('id')
        block = {}


def by_sseclient():
    # It comes back by itself, but fails where that is refused.
    client = sseclient.SSEClient(f'{URL}&id=sseclient', timeout=30)
    while True:
        try:
            event = next(client)
            show('sseclient', event.event, event.data, event.id or client.last_id)
        except requests.ConnectionError:
            time.sleep(0.3)
            while True:
                try:
                    client._connect()
                    break
                except requests.ConnectionError:
                    time.sleep(0.3)


async def by_aiohttp():
    async with aiohttp_sse_client.EventSource(
            f'{URL}&id=aiohttp', reconnection_time=timedelta(milliseconds=500), max_connect_retry=20) as source:
        async for event in source:
            show('aiohttp-sse-client', event.type, event.data, event.last_event_id)


for target in [lambda: again(by_httpx_sse), lambda: again(by_sseclient_py), lambda: again(by_requests), by_sseclient]:
    threading.Thread(target=target, daemon=True).start()
asyncio.run(by_aiohttp())
