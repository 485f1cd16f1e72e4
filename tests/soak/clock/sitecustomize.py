"""On the path of a command, sets its clock: `time.time` is off by the seconds in the file that SOAK_CLOCK names.

Only in the command itself; its children are Pythons of another kind.
"""

import os
import sys
import time
from pathlib import Path

if any(Path(word).name == "archsearch" for word in sys.orig_argv[1:2]):
    _real, _file = time.time, Path(os.environ["SOAK_CLOCK"])
    time.time = lambda: _real() + float(_file.read_text() or 0)
