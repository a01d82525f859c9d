# Runs a command in the namespaces that it is started in: loopback; a /run of its own, where sockets and names of network namespaces go; and
# whatever is written below /var/lib and /var/log, where container tools have fixed places, is gone with the namespace.
#
# The shell stays, as the first process, because it collects the orphans of all others.
set -e
mount -t tmpfs tmpfs /run
mkdir /run/netns /run/lock
for place in lib log; do
  mkdir -p /run/over/$place/upper /run/over/$place/work
  mount -t overlay -o lowerdir=/var/$place,upperdir=/run/over/$place/upper,workdir=/run/over/$place/work overlay /var/$place
done
ip link set lo up
"$@"
