#!/usr/bin/env python3
"""Twenty jobs, never more than two at once; a script takes a permit too."""
import tempfile

import stint

COUNT = "touch in-$STINT_JOB_ID; sleep 0.05; ls | grep -c ^in-; rm in-$STINT_JOB_ID"

gpu = stint.Semaphore(value=2)
with tempfile.TemporaryDirectory() as directory, stint.Executor() as executor:
    work = stint.Command(COUNT, shell=True, cwd=directory, check=True, text=True, semaphores={gpu.name: 1})
    futures = [executor.submit(work) for _ in range(20)]
    with gpu:
        pass  # in line with the jobs
    print(max(int(future.result().stdout) for future in futures), "at most")
    print(len(futures), "succeeded")
