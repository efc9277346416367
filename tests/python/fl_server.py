"""A server of one of the three models of the Guide's chapter 4 that knows the bare protocol only.

Models 1 and 2 are REP: model 1 echoes, model 2 takes [sequence][body] and answers
[sequence]["OK"]. Model 3 speaks 10/FLP: its identity is the endpoint that clients use, it answers
a PING that is alone with a PONG, and echoes what comes behind the control frame.

It prints `ready ENDPOINT` when it is bound.
"""

import argparse
import sys

import zmq


def answer_model_1(frames):
    return frames


def answer_model_2(frames):
    if len(frames) < 2:
        sys.exit(f"not a sequence and a body: {frames!r}")
    return [frames[0], b"OK"]


def answer_model_3(frames):
    client, control, *body = frames
    if body:
        return frames
    if control == b"PING":
        return [client, b"PONG"]
    sys.exit(f"neither a PING nor a request: {control!r}")


MODELS = {
    1: (zmq.REP, answer_model_1),
    2: (zmq.REP, answer_model_2),
    3: (zmq.ROUTER, answer_model_3),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=int, choices=MODELS)
    parser.add_argument("endpoint", help="to bind")
    parser.add_argument("--identity", help="model 3: the endpoint that clients use")
    parser.add_argument("--messages", type=int, help="end at the next one after so many")
    options = parser.parse_args()
    kind, answer = MODELS[options.model]
    socket = zmq.Context.instance().socket(kind)
    socket.linger = 0
    if options.model == 3:
        socket.identity = (options.identity or options.endpoint).encode()
    socket.bind(options.endpoint)
    print("ready", socket.last_endpoint.decode(), flush=True)
    answered = 0
    while True:
        frames = socket.recv_multipart()
        if answered == options.messages:
            sys.exit()
        socket.send_multipart(answer(frames))
        answered += 1


if __name__ == "__main__":
    main()
