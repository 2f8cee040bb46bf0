"""Starts labgrid's coordinator: ADDRESS [--no-debug]. As released it switches asyncio's debug mode on for good; --no-debug keeps it off."""
import asyncio.base_events
import sys

from labgrid.remote import coordinator

if "--no-debug" in sys.argv:
    asyncio.base_events.BaseEventLoop.set_debug = lambda loop, enabled: None
sys.argv = ["labgrid-coordinator", "-l", sys.argv[1]]
coordinator.main()
