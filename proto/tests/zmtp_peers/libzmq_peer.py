"""libzmq as a peer: PUB sends "tick" every 50 ms, ROUTER echoes; both ping every 200 ms and give up after 4 s.

Prints the two ports and ends when its standard input does.
"""

import sys

import zmq

context = zmq.Context()


def bind(kind):
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 200)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 4000)
    return socket, socket.bind_to_random_port("tcp://127.0.0.1")


publisher, publish_port = bind(zmq.PUB)
router, request_port = bind(zmq.ROUTER)
print(publish_port, request_port, flush=True)

poller = zmq.Poller()
poller.register(router, zmq.POLLIN)
poller.register(sys.stdin, zmq.POLLIN)
while True:
    ready = dict(poller.poll(50))
    if sys.stdin.fileno() in ready:
        break
    if router in ready:
        router.send_multipart(router.recv_multipart())
    publisher.send(b"tick")
