# What people do with a device. Each step says one line that the test looks for; the first that fails ends it.
set -e

nvme list >/tmp/list
cat /tmp/list
awk '$1 == "/dev/nvme0n1" { for (i = 2; i <= NF; i++) if ($i == "OF-QEMU") print "list: " $1 " " $i }' /tmp/list
nvme id-ctrl /dev/nvme0 | awk '$1 == "sn" { print "id-ctrl: " $3 }'

mkfs.ext4 -q /dev/nvme0n1
mount /dev/nvme0n1 /mnt
dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null
cp /tmp/data /mnt/data
sync
umount /mnt
# What is read now comes from the device.
echo 3 >/proc/sys/vm/drop_caches
mount /dev/nvme0n1 /mnt
[ "$(sha256sum </tmp/data)" = "$(sha256sum </mnt/data)" ]
echo "sha256: equal"

fio --name=try --filename=/mnt/fio --ioengine=io_uring --direct=1 --rw=randwrite --bs=4k --size=1m --iodepth=8 \
    --verify=crc32c --do_verify=1 --minimal --terse-version=3 >/tmp/fio
# Field 5 of the terse output is the error.
awk -F ';' '{ print "fio: " $5 " errors" }' /tmp/fio

umount /mnt
e2fsck -f -n /dev/nvme0n1 >/dev/null
echo "fsck: clean"
