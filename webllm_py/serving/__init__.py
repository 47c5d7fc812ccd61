"""An engine behind OpenAI's HTTP interface, whatever carries the requests.

``Service`` takes a ``Request`` and gives a ``Reply``, without any server's package: in a process
(``client.py``), behind ASGI (``asgi.py``), or wherever else bytes can be passed.
"""

from webllm_py.serving.asgi import ASGIApp
from webllm_py.serving.images import PublicImages
from webllm_py.serving.messages import Reply, Request, checked_key
from webllm_py.serving.origins import OriginGuard, checked_origin
from webllm_py.serving.service import Service
from webllm_py.serving.streams import Streams

__all__ = [
    "ASGIApp",
    "OriginGuard",
    "PublicImages",
    "Reply",
    "Request",
    "Service",
    "Streams",
    "checked_key",
    "checked_origin",
]
