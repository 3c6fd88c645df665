"""Write a key of a dev venue as a desk is given those of a real one.

    python examples/desk_keys.py venue.json keys.toml

At a real venue you write the file yourself: a table for each account there, mode 0600. Nothing of Seawall is imported.
"""

import json
import os
import sys
import time
from pathlib import Path

ready, keys = Path(sys.argv[1]), Path(sys.argv[2])
while not ready.is_file() or not ready.read_text().endswith("\n"):
    time.sleep(0.1)
alice = json.loads(ready.read_text())["accounts"][0]
with open(os.open(keys, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
    out.write(f'[{alice["name"]}]\nkey = "{alice["key"]}"\nsecret = "{alice["secret"]}"\n')
print(f"wrote the key of {alice['name']}")
