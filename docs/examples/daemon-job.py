#!/usr/bin/env python3
"""A daemon job does not keep a draining daemon: while the writer runs both go on; when it ends the reader is stopped, and the
drain ends, as joining it does. (Without a drain the reader would just go on.)"""
import os
import tempfile
import threading

import stint

with stint.Client() as client, tempfile.TemporaryDirectory() as directory:
    reader = client.submit(["sh", "-c", "echo reading; while :; do sleep 0.02; done"], daemon=True)
    writer = client.submit(["sh", "-c", "echo writing; while ! [ -e end ]; do sleep 0.02; done; echo written"], cwd=directory)
    for job in (reader, writer):
        next(client.follow(job))
    drain = threading.Thread(target=client.daemon.drain)
    drain.start()
    open(os.path.join(directory, "end"), "w").close()
    client.wait([reader, writer])
    drain.join()
    print(client.output(writer).decode().splitlines()[-1])
    print("the reader:", client.get(reader)["outcome"])
    client.daemon.undrain()
