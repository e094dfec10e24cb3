"""A small process between the sandbox and its containers, so that they end with it, however it ends.

The kernel's own means ("kill me when my parent dies") begins only when a new process has asked for it, and bubblewrap makes a
second process before that. A sandbox that is killed in these milliseconds would leave it asleep for ever. So containers are
children of a keeper, which adopts whatever they leave behind, and kills all of it when its line to the sandbox breaks.

It imports nothing but Python's own modules and `core.sockets`, and the packages around it import nothing: it stays small, and
starts in a few milliseconds.
"""
