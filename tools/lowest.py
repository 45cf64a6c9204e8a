"""Print ``name==version`` for the oldest dependencies setup.cfg allows."""

import re
from configparser import ConfigParser
from pathlib import Path

setup = ConfigParser()
setup.read(Path(__file__).parents[1] / "setup.cfg")
for requirement in setup["options"]["install_requires"].split("\n"):
    if match := re.fullmatch(r"([\w.-]+) *>= *([\w.]+)", requirement.strip()):
        print(f"{match[1]}=={match[2]}")
