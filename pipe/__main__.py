"""`python3 -m pipe`."""

import os
import sys

from pipe.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
