"""Calls that were forwarded and are up at the upgrade go on by a transfer, as every forwarded call does since 0014."""

from django.db import migrations

ADD_FLOWS = """
INSERT INTO calls_flow (call_id, leg_id, actions, url, method, reason, position, redirects, gathers, gathered)
SELECT DISTINCT ON (call.id) call.id, leg.id,
       jsonb_build_array(jsonb_build_array('transfer', jsonb_build_object(
           'to', call.routing_target, 'from', call.to_number, 'timeout_seconds', 60))),
       '', 'POST', 'answer', 0, 0, 0, '{}'
FROM calls_call AS call JOIN calls_call AS leg ON leg.parent_id = call.id
WHERE call.route_mode = 'sip' AND call.status IN ('queued', 'dialing', 'ringing', 'in_progress')
  AND call.hung_up_at IS NULL
ORDER BY call.id, leg.id DESC
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("calls", "0018_refusals_by_code")]

    operations = [migrations.RunSQL(ADD_FLOWS, migrations.RunSQL.noop)]
