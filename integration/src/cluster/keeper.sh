# Outlives the program that started it, by however little, and clears away what that program leaves.
#
# usage: keeper.sh PREFIX    makes a directory PREFIX.XXXXXXXX, says its path, and waits until its input is closed.
#
# A closed input is all that it needs: the system closes it when the program ends, also by SIGKILL. What belongs to the directory is known by
# the variable MAINSHEET_KEPT_IN in its environment, which children inherit, so that nothing has to be written down in time.

trap '' HUP INT TERM
directory=$(mktemp -d "$1.XXXXXXXX") || exit 1
echo "$directory"
exec >/dev/null
while read -r _; do :; done

# From now on nothing more starts here: whatever is about to looks for the directory first.
gone=$directory.gone
mv "$directory" "$gone"

# Those that are killed may have started others in the meantime; and memory takes a moment to be given back.
tries=100
while [ $tries -gt 0 ]; do
  left=$(grep -lzxF "MAINSHEET_KEPT_IN=$directory" /proc/[0-9]*/environ 2>/dev/null)
  [ -n "$left" ] || break
  for process in $left; do
    process=${process#/proc/}
    kill -KILL "${process%/environ}" 2>/dev/null
  done
  tries=$((tries - 1))
  sleep 0.02
done

# A folder of cgroups can go when the last process in it is gone, and the directory when nobody writes to it any more.
tries=100
while [ $tries -gt 0 ]; do
  find /sys/fs/cgroup/*/"${directory##*/}" -depth -type d -exec rmdir {} + 2>/dev/null
  rm -rf "$gone" 2>/dev/null
  [ -e "$gone" ] || [ -n "$(find /sys/fs/cgroup/*/"${directory##*/}" -maxdepth 0 2>/dev/null)" ] || break
  tries=$((tries - 1))
  sleep 0.05
done
