"""A key-value server with a line protocol, on plain asyncio streams: kv_asyncio.py PORT.

SET key value   OK                  APPEND key value   LENGTH n
GET key         VALUE v | NONE      INCR key           INT n | ERROR not a number
DEL key         DELETED | NONE      TOKEN key          VALUE v (set to something unpredictable)

The end of a client's input is answered by the end of the server's output.
"""

import asyncio
import os
import signal
import sys
import time

LIMIT = 18  # decimal digits of a number

store = {}


def answer(line):
    command, _, rest = line.partition(" ")
    key, _, value = rest.partition(" ")
    if command == "SET":
        store[key] = value
        return "OK"
    if command == "GET":
        return f"VALUE {store[key]}" if key in store else "NONE"
    if command == "DEL":
        return "NONE" if store.pop(key, None) is None else "DELETED"
    if command == "APPEND":
        store[key] = store.get(key, "") + value
        return f"LENGTH {len(store[key])}"
    if command == "INCR":
        text = store.get(key, "0")
        if not (text.isdigit() and len(text) <= LIMIT):
            return "ERROR not a number"
        store[key] = str(int(text) + 1)
        return f"INT {store[key]}"
    if command == "TOKEN":
        store[key] = f"{os.urandom(8).hex()}-{time.time_ns()}"
        return f"VALUE {store[key]}"
    return "ERROR unknown command"


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(answer(line.decode("ascii").rstrip("\n")).encode("ascii") + b"\n")
        await writer.drain()
    writer.close()


async def main(port):
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print(f"listening on {port}", flush=True)
    await stopped.wait()
    print(f"{len(store)} keys", flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
