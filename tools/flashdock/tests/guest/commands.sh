# nvme-cli: what it asks of a device, and resets of every kind.
set -ex
trap "dmesg | grep -i nvme" EXIT
nvme list
nvme list-subsys
nvme id-ctrl /dev/nvme0
nvme id-ns /dev/nvme0n1
nvme smart-log /dev/nvme0
nvme error-log /dev/nvme0
nvme fw-log /dev/nvme0
nvme effects-log /dev/nvme0
nvme changed-ns-list-log /dev/nvme0
for feature in 1 2 4 5 7 8 9 0xa 0xb; do
    nvme get-feature /dev/nvme0 -f $feature -H
done
nvme show-regs /dev/nvme0 -H

# A block that was written is gone after a format, and the other namespace has not changed.
echo kept | dd of=/dev/nvme0n2 bs=512 conv=sync oflag=direct
echo gone | dd of=/dev/nvme0n1 bs=512 conv=sync oflag=direct
dd if=/dev/nvme0n1 bs=512 count=1 iflag=direct | grep gone
nvme format /dev/nvme0n1 --lbaf=0 --force
test $(dd if=/dev/nvme0n1 bs=512 count=1 iflag=direct | tr -d '\000' | wc -c) = 0
dd if=/dev/nvme0n2 bs=512 count=1 iflag=direct | grep kept

nvme reset /dev/nvme0
dd if=/dev/nvme0n2 bs=512 count=1 iflag=direct | grep kept
nvme subsystem-reset /dev/nvme0
nvme reset /dev/nvme0
dd if=/dev/nvme0n2 bs=512 count=1 iflag=direct | grep kept

# The function goes and is found again.
address=$(cat /sys/class/nvme/nvme0/address)
echo 1 > /sys/bus/pci/devices/$address/remove
test ! -e /dev/nvme0
echo 1 > /sys/bus/pci/rescan
keeps() {
    dd if=/dev/nvme0n2 bs=512 count=1 iflag=direct 2> /dev/null | grep kept
}
until_it_succeeds keeps
echo 1 > /sys/bus/pci/devices/$address/reset
dd if=/dev/nvme0n2 bs=512 count=1 iflag=direct | grep kept

! dmesg | grep -iE 'nvme nvme.*(timeout|abort)'
