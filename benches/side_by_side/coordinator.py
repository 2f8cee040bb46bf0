"""Starts labgrid's coordinator: ADDRESS [--no-debug]. As released it switches asyncio's debug mode on for good; --no-debug keeps it off."""
import sys
from asyncio.base_events import BaseEventLoop

from labgrid.remote import coordinator

if "--no-debug" in sys.argv:
    set_debug = BaseEventLoop.set_debug
    BaseEventLoop.set_debug = lambda loop, enabled: set_debug(loop, False)
sys.argv = ["labgrid-coordinator", "-l", sys.argv[1]]
coordinator.main()
