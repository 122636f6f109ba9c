"""Echoes what it gets on TCP, UDP and UNIX stream sockets; one thread. Arguments: TCP port, UDP port, UNIX path."""

import selectors
import socket
import sys

selector = selectors.DefaultSelector()


# What is announced on a socket without the output rule may be lost with the primary: nothing waits for it.


def accept(listener):
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return
    connection.setblocking(True)
    selector.register(connection, selectors.EVENT_READ, stream)


def stream(connection):
    try:
        data = connection.recv(4096)
        connection.sendall(data)
    except (ConnectionResetError, BrokenPipeError):
        # What a UNIX connection gives that could not be carried over.
        data = b""
    if not data:
        selector.unregister(connection)
        connection.close()


def datagram(udp):
    try:
        data, address = udp.recvfrom(4096)
    except BlockingIOError:
        return
    udp.sendto(data, address)


tcp = socket.create_server(("127.0.0.1", int(sys.argv[1])))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", int(sys.argv[2])))
unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
unix.bind(sys.argv[3])
unix.listen()
for waits in unix, udp:
    waits.setblocking(False)
selector.register(tcp, selectors.EVENT_READ, accept)
selector.register(unix, selectors.EVENT_READ, accept)
selector.register(udp, selectors.EVENT_READ, datagram)
while True:
    for key, _ in selector.select():
        key.data(key.fileobj)
