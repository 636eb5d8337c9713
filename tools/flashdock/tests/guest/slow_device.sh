# More than the device can do before the driver loses its patience, which is short.
set -e
test "$(cat /sys/module/nvme_core/parameters/io_timeout)" = 2
fio --filename=/dev/nvme0n1 --direct=1 --name=slow --rw=write --bs=384k --size=48m --ioengine=libaio --iodepth=128
! dmesg | grep -iE 'nvme nvme.*(timeout|abort)'
