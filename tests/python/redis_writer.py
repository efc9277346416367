"""Writes to a pair of Redis servers without pause, by redis-py, as a program of somebody's would.

Each writer appends 1, 2, 3, ... to a list of its own, one connection at a time, and goes to the other
server when one refuses, breaks off or is silent. In the same transaction it reads the epoch that the
active server was promoted with. A line for each write that was acknowledged:

    ack WRITER NUMBER EPOCH SERVER SENT_US ANSWERED_US

and for each that failed, with what happened instead:

    failed WRITER NUMBER SERVER REASON
"""

import argparse
import sys
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def micros():
    return time.monotonic_ns() // 1000


def connect(server, timeout):
    host, port = server.rsplit(":", 1)
    return redis.Redis(
        host=host,
        port=int(port),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        # What failed may have been done: it is counted as such, not tried again in silence.
        retry=Retry(NoBackoff(), 0),
        single_connection_client=True,
    )


def write(writer, options, say):
    key = f"{options.prefix}:{writer}"
    number, turn = 0, 0
    while True:
        server = options.server[turn % len(options.server)]
        turn += 1
        client = None
        try:
            client = connect(server, options.timeout)
            while True:
                number += 1
                sent = micros()
                transaction = client.pipeline(transaction=True)
                _, epoch = transaction.rpush(key, number).get("bstar:epoch").execute()
                epoch = int(epoch) if epoch else 0
                say(f"ack {writer} {number} {epoch} {server} {sent} {micros()}")
                time.sleep(options.pause)
        except (redis.RedisError, OSError) as error:
            reason = " ".join(str(error).split())
            say(f"failed {writer} {number} {server} {type(error).__name__}: {reason}")
            time.sleep(0.01)
        finally:
            if client is not None:
                client.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", action="append", required=True, help="HOST:PORT, once for each")
    parser.add_argument("--prefix", required=True, help="of the keys of the lists")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=1.0, help="of a connection and of an answer, in s")
    parser.add_argument("--pause", type=float, default=0.001, help="between two writes of a writer, in s")
    options = parser.parse_args()
    lock = threading.Lock()

    def say(line):
        with lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    for writer in range(options.writers):
        threading.Thread(target=write, args=(writer, options, say), daemon=True).start()
    threading.Event().wait()


main()
