"""A small driver for the tests of the supervisor: the code of an execution is run as Python."""

import array
import json
import os
import signal
import socket
import sys
import traceback

channel = socket.socket(fileno=3)
channel.set_inheritable(False)
CELL = "<cell>"


def interrupt(signum, frame):
    """Interrupts a cell, and nothing else."""
    while frame is not None:
        if frame.f_code.co_filename == CELL:
            raise KeyboardInterrupt
        frame = frame.f_back


def send(**frame):
    channel.sendall(json.dumps(frame).encode() + b"\n")


def raw(data):
    channel.sendall(data)


def receive():
    """Returns the next request and the descriptors that came with it."""
    line, fds = b"", array.array("i")
    while not line.endswith(b"\n"):
        data, ancillary, _, _ = channel.recvmsg(1 << 20, socket.CMSG_SPACE(2 * fds.itemsize))
        if not data:
            os._exit(0)
        line += data
        for _, _, rights in ancillary:
            fds.frombytes(rights)
    return json.loads(line), fds


def execute(request, fds):
    for fd, target in zip(fds, (1, 2)):
        os.dup2(fd, target)
        os.close(fd)
    signal.signal(signal.SIGINT, interrupt)
    send(type="started", count=1)
    try:
        exec(compile(request["code"], CELL, "exec"), variables)
    except BaseException as error:
        sys.stdout.flush()
        send(type="error", name=type(error).__name__, value=str(error), traceback=traceback.format_exc())
    sys.stdout.flush()
    send(type="done")


variables = {"os": os, "sys": sys, "send": send, "raw": raw}
signal.signal(signal.SIGINT, interrupt)
if len(sys.argv) > 1:
    sys.exit(sys.argv[1])
send(type="boot", version="test")
while True:
    request, fds = receive()
    if request["op"] == "execute":
        execute(request, fds)
    elif request["op"] == "ping":
        send(type="pong")
    elif request["cwd"] == "/nowhere":
        send(type="failed", value="No such directory: /nowhere")
    elif request["cwd"] != "/silent":
        os.environ.update(request.get("env", {}))
        send(type="ready")
