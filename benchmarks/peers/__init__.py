"""archsearch and its peers on the same images, the same cores and the same family of networks."""

import time

STARTED = time.time()
"""When this process began, nearly: a package is imported before its modules, and before what they import."""
