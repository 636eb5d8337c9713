# Two functions of one device: two controllers of one subsystem, with the sharable namespace behind both.
set -e
for controller in nvme0 nvme1; do
    test "$(cat /sys/class/nvme/$controller/state)" = live
    nvme id-ctrl /dev/$controller | grep cntlid
    nvme list-ns /dev/$controller
done
test "$(cat /sys/class/nvme/nvme0/subsysnqn)" = "$(cat /sys/class/nvme/nvme1/subsysnqn)"
test "$(cat /sys/class/nvme/nvme0/address)" = 0000:00:04.0
test "$(cat /sys/class/nvme/nvme1/address)" = 0000:00:04.1
nvme list-subsys
test "$(nvme list-ns /dev/nvme0 | grep -c ':0x')" = 2
test "$(nvme list-ns /dev/nvme1 | grep -c ':0x')" = 1

# Each function alone, while the other one is gone: what was written through one is read through the other.
shared() {
    for block in /sys/class/block/nvme*; do
        if test "$(cat $block/nsid 2> /dev/null)" = 2 && test -b /dev/${block##*/}; then
            echo /dev/${block##*/}
        fi
    done
}
is_live() {
    test "$(cat /sys/bus/pci/devices/$1/nvme/nvme*/state 2> /dev/null)" = live
}
is_read() {
    dd if=$(shared) of=/tmp/block bs=512 count=1 iflag=direct 2> /dev/null
}
only() {
    echo 1 > /sys/bus/pci/rescan
    until_it_succeeds is_live $1
    echo 1 > /sys/bus/pci/devices/$2/remove
    until_it_succeeds is_read
}
first=0000:00:04.0
second=0000:00:04.1
only $first $second
echo 'from the first' | dd of=$(shared) bs=512 conv=sync oflag=direct
only $second $first
grep 'from the first' /tmp/block
echo 'from the second' | dd of=$(shared) bs=512 conv=sync oflag=direct
only $first $second
grep 'from the second' /tmp/block
