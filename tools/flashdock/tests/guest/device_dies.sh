# The device goes while it is used: what waits for it ends with an error.
dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 iflag=direct || exit 10
echo "the device may die now"
n=0
while dd if=/dev/nvme0n1 of=/dev/null bs=64k count=64 iflag=direct 2> /dev/null; do
    n=$((n + 1))
    if test $n = 200; then
        echo "the device lives after $n reads of 4 MiB"
        exit 124
    fi
done
echo "an error after $n reads"
! dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 iflag=direct
