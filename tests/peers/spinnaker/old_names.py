"""What rig 2.4.1 takes from the standard library and newer Pythons no longer have, put back before it is imported. rig itself is untouched."""
import collections
import collections.abc
import inspect

if not hasattr(inspect, "getargspec"):
    inspect.getargspec = lambda function: inspect.getfullargspec(function)[:4]
for name in ("Iterable", "Mapping", "MutableMapping", "Sequence", "Callable"):
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))
