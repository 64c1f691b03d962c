"""Subscribes over TLS with Python's own ssl module and prints each data line.

    python3 tls.py HOST PORT CA-FILE TLSv1_2|TLSv1_3
"""
import socket
import ssl
import sys

host, port, ca_file, version = sys.argv[1:]
context = ssl.create_default_context(cafile=ca_file)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
context.set_alpn_protocols(['http/1.1'])
with socket.create_connection((host, int(port))) as plain:
    with context.wrap_socket(plain, server_hostname='localhost') as tls:
        tls.sendall(b'GET /sse?subscribe=room1 HTTP/1.1\r\nHost: localhost\r\n\r\n')
        print(tls.version(), tls.selected_alpn_protocol(), flush=True)
        for line in tls.makefile('r'):
            if line.startswith('data:'):
                print(line, end='', flush=True)
