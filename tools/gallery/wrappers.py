"""How networks of torchvision that do not take plain tensors are called: `wrapper` of a peer names one of these.

Each takes the peer and our inputs and returns a tensor, a mapping, a tuple or an object for `outputs` to pick from.
"""

from __future__ import annotations
