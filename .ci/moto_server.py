"""Serves moto on a free loopback port and prints which. One request at a time: moto looks at a condition and then writes, which S3
does in one step, so that two writers at once would both win."""

import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

moto = DomainDispatcherApplication(create_backend_app)
lock = threading.Lock()


def one_at_a_time(environment, start_response):
    with lock:
        return [b"".join(moto(environment, start_response))]


server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=MotoRequestHandler)
print(server.port, flush=True)
server.serve_forever()
