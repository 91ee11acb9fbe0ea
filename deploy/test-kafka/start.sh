#!/bin/sh
# Write the broker's settings from the variables KAFKA_… (KAFKA_NODE_ID is node.id, as in
# the public image), format its folder the first time, and become the broker.
set -euf # no globbing: Java itself reads the * in the class path
settings=/var/lib/kafka/server.properties
env | grep '^KAFKA_' | grep -v '^KAFKA_HEAP_OPTS=' | while IFS='=' read -r name value; do
  echo "$(echo "${name#KAFKA_}" | tr 'A-Z_' 'a-z.')=$value"
done >"$settings"
# shellcheck disable=SC2086  the heap options are words
run="java ${KAFKA_HEAP_OPTS:--Xmx1g} -cp /opt/kafka/libs/*"
$run kafka.tools.StorageTool format --ignore-formatted -t "${CLUSTER_ID:?}" -c "$settings"
exec $run kafka.Kafka "$settings"
