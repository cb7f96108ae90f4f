# What the states of dolphin/ read. The values are examples.

# Where SQL Server is and who may create logins there; Salt's own option names.
mssql.server: localhost
mssql.port: 1433
mssql.user: sa
mssql.password: 'Example-Admin-1'
# TLS is on. A server with a self-made certificate on the same machine needs this; otherwise name its CA in mssql.ca.
mssql.trust_server_certificate: True

dolphin:
  login: nexhealth_sync
  password: 'Example-Sync-1'
  interval: 600
  # derived: just the columns the jobs read; full: db_owner; given: a login that the practice made.
  access: derived
  # Where this EHR keeps its own version, told beside a changed schema; ask the vendor, or look. A column of one row: the
  # newest by another column, or the one that a filter leaves. Read as text of at most 64 characters, granted by column.
  # ehr_version: {table: dbo.VersionHistory, column: Number, newest_by: InstalledAt}
  # ehr_version: {table: dbo.Setting, column: Content, filter: [{column: Name, value: version}]}

# Who can open the batches: age public keys. The private keys stay with the integrator.
agent:
  sync:
    recipients:
      - age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj
    # Batches go to the master unless this names a bucket (or `url: file:///folder`); it takes effect with the next batch.
    #   sink: object_store
    #   object_store:
    #     url: s3://practice-batches/fleet
    #     region: eu-central-1
    #     access_key_id: AKIDEXAMPLE
    #     secret_access_key: 'example-secret'
    #     # endpoint: https://minio.example.org      of a store that is not Amazon's

# What dolphin.writes reads beside it: a login of its own, and the agent-owned database that holds the ledger of writes.
#   dolphin:
#     write_login: nexhealth_write
#     write_password: 'Example-Write-1'
#   writes:
#     ledger: nexhealth_agent
