"""A gRPC server and a proxyless gRPC client for tests; it needs only grpcio.

usage: grpc_peer.py serve ADDRESS NAME    answers every call of mesh.test.Who/Am with NAME; prints "ready"
       grpc_peer.py call TARGET           reads a number of calls per line, prints a JSON object of counts per answer

A call that fails counts under "error: CODE". The client keeps one channel for all its lines, as an application would. An xds:/// target reads the
file that GRPC_XDS_BOOTSTRAP names.
"""

import collections
import json
import sys
from concurrent import futures

import grpc

METHOD = "/mesh.test.Who/Am"
DEADLINE_SECONDS = 20


def main(arguments):
    if arguments[:1] == ["serve"] and len(arguments) == 3:
        serve(arguments[1], arguments[2])
    elif arguments[:1] == ["call"] and len(arguments) == 2:
        call(arguments[1])
    else:
        sys.exit(__doc__)


def serve(address, name):
    def answer(_request, _context):
        return name.encode()

    methods = {"Am": grpc.unary_unary_rpc_method_handler(answer)}
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("mesh.test.Who", methods)])
    if server.add_insecure_port(address) == 0:
        sys.exit(f"cannot bind {address}")
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


def call(target):
    with grpc.insecure_channel(target) as channel:
        ask = channel.unary_unary(METHOD)
        for line in sys.stdin:
            counts = collections.Counter()
            for _ in range(int(line)):
                try:
                    counts[ask(b"", timeout=DEADLINE_SECONDS, wait_for_ready=True).decode()] += 1
                except grpc.RpcError as error:
                    counts[f"error: {error.code().name}: {error.details()}"] += 1
            print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
