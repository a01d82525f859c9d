# Runs a command in the namespaces that it is started in: a /run of its own, where sockets and names of network namespaces go, and loopback.
#
# The shell stays, as the first process, because it collects the orphans of all others.
mount -t tmpfs tmpfs /run && mkdir /run/netns /run/lock && ip link set lo up && "$@"
