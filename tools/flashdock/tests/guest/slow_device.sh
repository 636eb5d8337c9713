# More than the device can do before the driver loses its patience, which is short.
set -e
test "$(cat /sys/module/nvme_core/parameters/io_timeout)" = 2
fio --filename=/dev/nvme0n1 --direct=1 --name=slow --rw=write --bs=256k --size=24m --verify=crc32c --ioengine=libaio --iodepth=96
! dmesg | grep -iE 'nvme.*(timeout|abort)'
