# A namespace gets blocks of 4 KiB, and a file system.
set -e
test $(blockdev --getss /dev/nvme0n1) = 512
nvme format /dev/nvme0n1 --lbaf=1 --force
test $(blockdev --getss /dev/nvme0n1) = 4096
mkfs.ext4 -q /dev/nvme0n1
mkdir -p /mnt
mount /dev/nvme0n1 /mnt
echo kept > /mnt/file
umount /mnt
# The last block, to see that none has moved.
bytes=$(blockdev --getsize64 /dev/nvme0n1)
yes end | dd of=/dev/nvme0n1 bs=4k count=1 seek=$((bytes / 4096 - 1)) iflag=fullblock oflag=direct
