"""Stands in for the supervisor: starts the driver and speaks with it for a test, in JSON lines on standard input and
output. Requests go through as they are, but for {"op":"interrupt"}, which is SIGINT to the driver's process group.
What an execution's pipes bring comes as {"type":"stdout","n":1,"text":"…"}, where n counts executions; the end of the
driver is {"type":"exited"} with its status.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from time import monotonic

os.dup2(0, 3)  # keeps 3 free of anything else
ours, theirs = socket.socketpair()
os.dup2(theirs.fileno(), 3)  # what is 3 here is 3 in the driver
language = json.load(open("/opt/cubby/language.json"))
# A driver takes SIGINT whatever it was started with.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
started = monotonic()
driver = subprocess.Popen(
    language["argv"], env=os.environ | language["env"], stdin=subprocess.DEVNULL, stdout=2, stderr=2,
    pass_fds=[3], start_new_session=True)
os.close(3)
theirs.close()

selector = selectors.DefaultSelector()
frames, requests = bytearray(), bytearray()
pipes, executions = {}, 0


def tell(**event):
    print(json.dumps(event), flush=True)


def drain(fd):
    """Pass on what a pipe holds now."""
    while True:
        try:
            data = os.read(fd, 1 << 20)
        except BlockingIOError:
            return
        if not data:
            selector.unregister(fd)
            os.close(fd)
            del pipes[fd]
            return
        n, stream = pipes[fd]
        tell(type=stream, n=n, text=data.decode(errors="replace"))


def answer():
    """Pass on the driver's frames, after the output that was written before them."""
    global frames
    data = ours.recv(1 << 20)
    frames += data
    if data and b"\n" not in data:
        return
    *lines, frames = frames.split(b"\n")
    for fd in list(pipes):
        drain(fd)
    for line in lines:
        frame = json.loads(line)
        if frame["type"] == "boot":
            frame |= {"boot_ms": (monotonic() - started) * 1000, "pid": driver.pid}
        tell(**frame)
    if not data:
        tell(type="exited", status=driver.wait())
        sys.exit()


def ask(request):
    """Pass a request on to the driver, an execute with its two pipes."""
    global executions
    if request["op"] == "interrupt":
        os.killpg(driver.pid, signal.SIGINT)
        return
    fds = []
    if request["op"] == "execute":
        executions += 1
        for stream in ("stdout", "stderr"):
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read, False)
            pipes[read] = executions, stream
            selector.register(read, selectors.EVENT_READ)
            fds.append(write)
    data = json.dumps(request).encode() + b"\n"
    try:
        sent = socket.send_fds(ours, [data], fds) if fds else ours.send(data)
        ours.sendall(data[sent:])
    except BrokenPipeError:
        pass  # it has died of what it has received so far, and its end is told
    for fd in fds:
        os.close(fd)


selector.register(ours, selectors.EVENT_READ)
selector.register(0, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fd == ours.fileno():
            answer()
        elif key.fd == 0:
            data = os.read(0, 1 << 20)
            if not data:
                driver.kill()
                sys.exit()
            requests += data
            if b"\n" in data:
                *lines, requests = requests.split(b"\n")
                for line in lines:
                    ask(json.loads(line))
        elif key.fd in pipes:
            drain(key.fd)
