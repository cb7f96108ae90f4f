# Dolphin Management (database Main_OMS): a login with just the rights the sync jobs need, and the jobs.
#
# The tables and columns here are those of the SYNTHETIC schema that ehr-sim serves. They are invented; nobody should take
# them for a vendor's. Names and passwords come from the pillar, see ../pillar/dolphin.sls.
include:
  - dolphin.login
  - dolphin.sync
  - dolphin.rotation
