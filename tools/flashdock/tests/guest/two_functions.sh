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

# The second function has one namespace, so that I/O commands may be passed through its controller.
printf 'shared' | dd bs=512 conv=sync of=/tmp/block 2> /dev/null
nvme io-passthru /dev/nvme1 --opcode=1 --namespace-id=2 --data-len=512 --write --input-file=/tmp/block
nvme io-passthru /dev/nvme1 --opcode=2 --namespace-id=2 --data-len=512 --read --raw-binary | grep shared
! nvme io-passthru /dev/nvme1 --opcode=2 --namespace-id=1 --data-len=512 --read

# Without it, the first function is the only way to the same blocks.
echo 1 > /sys/bus/pci/devices/0000:00:04.1/remove
test ! -e /dev/nvme1
dd if=$(ls /dev/nvme*n2) bs=512 count=1 iflag=direct | tr -d '\000' | grep shared
