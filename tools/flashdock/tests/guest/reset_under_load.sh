# Resets of every kind while fio writes and compares: it sees none of them.
set -e
fio --filename=/dev/nvme0n1 --direct=1 --name=load --rw=randrw --bs=4k --size=1m --loops=20 --verify=crc32c --verify_fatal=1 \
    --ioengine=libaio --iodepth=32 &
load=$!
address=$(cat /sys/class/nvme/nvme0/address)
for i in 1 2 3; do
    nvme reset /dev/nvme0
    echo 1 > /sys/bus/pci/devices/$address/reset
done
kill -0 $load
wait $load
dmesg | grep 'resetting controller'
