#!/usr/bin/env python3
"""Three jobs meet at a barrier: none passes before the last arrives."""
import sys

import stint

barrier = stint.Barrier(parties=4)
meet = "import stint, sys; print('arrives', flush=True); stint.Barrier(sys.argv[1], 4).wait(); print('passes')"
with stint.Executor() as executor:
    futures = [executor.submit(stint.Command([sys.executable, "-c", meet, barrier.name], text=True, env={**stint.os.environ}))
               for _ in range(3)]
    while barrier.n_waiting < 3:
        pass
    print("three wait:", not any(future.done() for future in futures))
    barrier.wait()  # we are the last
    print(sum(future.result().stdout == "arrives\npasses\n" for future in futures), "passed")
barrier.remove()  # it had no name, but the jobs were told it
