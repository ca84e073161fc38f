"""How functions are compiled that nothing but compiled functions calls; importing it needs numba."""

from functools import partial

import numba

inner = partial(numba.njit, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""``numba.njit`` without what Python would need to call the function itself.

To unpack a tuple of dozens of arrays takes more code than most of these functions have, and it would be compiled with
each of them.
"""
