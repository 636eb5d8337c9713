#!/bin/busybox sh
# The first process of the guest: makes a small system, runs the caller's script or a shell on the console, says how that ended, powers off.

export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
/bin/busybox --install -s

mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp

# The list has each module after those that it needs. Loading nvme ends when the namespaces of all controllers are known, or their controller failed.
# As modprobe does, it takes what the kernel's command line has for it: nvme_core.io_timeout=5.
while read -r module; do
    name=$(basename "$module" .ko | tr - _)
    insmod "/lib/modules/$module" $(tr ' ' '\n' </proc/cmdline | sed -n "s/^$name\.//p")
done </lib/modules/order

# The script comes as a file of QEMU's, so that the archive of this system is the same for all scripts.
script=/sys/firmware/qemu_fw_cfg/by_name/opt/flashdock/script/raw
cd /root
if [ -e "$script" ]; then
    # The console is read by a program: lines end with a line feed alone.
    stty -F /dev/console -onlcr
    cp "$script" /tmp/script
    sh /tmp/script </dev/null
    status=$?
else
    cat /etc/motd
    setsid cttyhack sh
    status=$?
fi

umount -a -r 2>/dev/null
# Changing a setting waits until all output has left.
stty -F /dev/console sane
# The second serial port is for this line alone.
echo "status $status" >/dev/ttyS1
poweroff -f
