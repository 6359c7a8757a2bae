"""`python -m tests.durability.dying serve …`: the server, but its process is killed after its first commit.

The transaction is in the database then, and nobody has been answered.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from fhir_server.cli import main
from fhir_server.store import transactions

run = transactions.run


async def run_and_die(*given: Any) -> Any:
    await run(*given)
    os.kill(os.getpid(), signal.SIGKILL)


transactions.run = run_and_die

if __name__ == "__main__":
    main()
