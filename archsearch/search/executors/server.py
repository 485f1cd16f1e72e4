"""Loaded first by the server that workers are forked from: from then on it ends with its parent.

Left alone, it looks whether that is still there only once TensorFlow is loaded, and then only when nothing stops it.
"""

from archsearch.search.executors.processes import end_with_parent

end_with_parent()
