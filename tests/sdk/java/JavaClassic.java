// Drives Keyward with aliyun-java-sdk-kms: parameters in the query. Reads calls from the standard input and writes what came
// of them (see foreign.py). The arguments are the version of the signature, V1 or V3, and the
// format of the answers, JSON or XML.

import com.aliyuncs.AcsRequest;
import com.aliyuncs.AcsResponse;
import com.aliyuncs.CommonRequest;
import com.aliyuncs.DefaultAcsClient;
import com.aliyuncs.auth.SignatureVersion;
import com.aliyuncs.exceptions.ClientException;
import com.aliyuncs.http.FormatType;
import com.aliyuncs.http.HttpResponse;
import com.aliyuncs.http.MethodType;
import com.aliyuncs.http.ProtocolType;
import com.aliyuncs.profile.DefaultProfile;
import com.aliyuncs.profile.IClientProfile;
import com.google.gson.FieldNamingPolicy;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;

public class JavaClassic {
    static final String REGION = "cn-hangzhou";
    static final String MODELS = "com.aliyuncs.kms.model.v20160120.";
    static final Set<String> STS_ACTIONS = Set.of("AssumeRole", "GetCallerIdentity");

    /** The client leaves out the objects that KMS puts its lists in. Rows: the list, and its member in such an object. */
    static final Map<String, String> LISTS = Map.ofEntries(
        Map.entry("Keys", "Key"), Map.entry("Aliases", "Alias"), Map.entry("KeyVersions", "KeyVersion"),
        Map.entry("SecretList", "Secret"), Map.entry("VersionIds", "VersionId"), Map.entry("Tags", "Tag"),
        Map.entry("VersionStages", "VersionStage"), Map.entry("TagResources", "TagResource"),
        Map.entry("Regions", "Region"), Map.entry("KmsInstances", "KmsInstance"));

    /** The fields of the client's classes are called as KMS calls the members, but for the first letter. */
    static final Gson GSON = new GsonBuilder().setFieldNamingPolicy(FieldNamingPolicy.UPPER_CAMEL_CASE).disableHtmlEscaping().create();

    static SignatureVersion signature;
    static FormatType format;

    public static void main(String[] args) throws Exception {
        signature = SignatureVersion.valueOf(args[0]);
        format = FormatType.valueOf(args[1]);
        var orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var results = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = orders.readLine(); line != null; line = orders.readLine()) {
            results.println(outcome(JsonParser.parseString(line).getAsJsonObject()));
        }
    }

    /** The client does not tell the status of a refusal: it is seen in passing. */
    static class Client extends DefaultAcsClient {
        int status;

        Client(IClientProfile profile) {
            super(profile);
        }

        @Override
        public <T extends AcsResponse> HttpResponse doAction(AcsRequest<T> request) throws ClientException {
            var response = super.doAction(request);
            status = response.getStatus();
            return response;
        }
    }

    static JsonObject outcome(JsonObject order) {
        var client = new Client(profile(order));
        var result = new JsonObject();
        try {
            result.add("answer", answer(client, order));
        } catch (ClientException refusal) {
            var refused = new JsonArray();
            refused.add(client.status);
            refused.add(refusal.getErrCode());
            if (client.status >= 400) result.add("refused", refused);
            else result.addProperty("failed", refusal.toString());
        } catch (Exception problem) {
            result.addProperty("failed", problem.toString());
        } finally {
            client.shutdown();
        }
        return result;
    }

    static IClientProfile profile(JsonObject order) {
        String id = text(order, "id"), secret = text(order, "secret"), token = text(order, "token");
        return token.isEmpty() ? DefaultProfile.getProfile(REGION, id, secret) : DefaultProfile.getProfile(REGION, id, secret, token);
    }

    static JsonElement answer(Client client, JsonObject order) throws Exception {
        boolean tls = order.get("tls").getAsBoolean();
        String endpoint = System.getenv(tls ? "KEYWARD_TLS" : "KEYWARD_API");
        var protocol = tls ? ProtocolType.HTTPS : ProtocolType.HTTP;
        String action = text(order, "action");
        var parameters = order.getAsJsonObject("parameters");
        try {
            return generated(client, action, parameters, endpoint, protocol);
        } catch (ClassNotFoundException newer) {
            return common(client, action, parameters, endpoint, protocol);
        }
    }

    static String text(JsonObject order, String name) {
        return order.get(name).getAsString();
    }

    /** Makes a call with the generated request of an operation, and its generated answer. */
    static JsonElement generated(Client client, String action, JsonObject parameters, String endpoint, ProtocolType protocol)
            throws Exception {
        var request = (AcsRequest<?>) Class.forName(MODELS + action + "Request").getDeclaredConstructor().newInstance();
        for (var parameter : parameters.entrySet()) {
            set(request, parameter.getKey(), parameter.getValue());
        }
        request.setSysSignatureVersion(signature);
        request.setSysAcceptFormat(format);
        request.setSysEndpoint(endpoint);
        request.setSysProtocol(protocol);
        return wrapped(GSON.toJsonTree(client.getAcsResponse(request)));
    }

    static void set(AcsRequest<?> request, String name, JsonElement value) throws Exception {
        if (name.equals("RegionId")) return; // the client says that itself
        String setter = "set" + name + (value.isJsonArray() ? "s" : "");
        Method method = Arrays.stream(request.getClass().getDeclaredMethods())
            .filter(it -> it.getName().equals(setter)).findFirst().orElseThrow(() -> new NoSuchMethodException(setter));
        var type = method.getGenericParameterTypes()[0];
        method.invoke(request, value.isJsonObject() ? (Object) value.toString() : GSON.fromJson(value, type));
    }

    /** The answer as KMS writes it, with its lists inside of objects. */
    static JsonElement wrapped(JsonElement value) {
        if (value.isJsonArray()) {
            var elements = new JsonArray();
            value.getAsJsonArray().forEach(element -> elements.add(wrapped(element)));
            return elements;
        }
        if (!value.isJsonObject()) return value;
        var members = new JsonObject();
        for (var member : value.getAsJsonObject().entrySet()) {
            JsonElement inner = wrapped(member.getValue());
            if (inner.isJsonArray()) {
                var object = new JsonObject();
                object.add(LISTS.get(member.getKey()), inner);
                inner = object;
            }
            members.add(member.getKey(), inner);
        }
        return members;
    }

    /** Makes a call for an operation that the package does not have: of STS, or newer. */
    static JsonElement common(Client client, String action, JsonObject parameters, String endpoint, ProtocolType protocol)
            throws ClientException {
        var request = new CommonRequest();
        request.setSysMethod(MethodType.POST);
        request.setSysProtocol(protocol);
        request.setSysSignatureVersion(signature);
        request.setSysDomain(endpoint);
        request.setSysVersion(STS_ACTIONS.contains(action) ? "2015-04-01" : "2016-01-20");
        request.setSysAction(action);
        for (var parameter : parameters.entrySet()) {
            JsonElement value = parameter.getValue();
            request.putQueryParameter(parameter.getKey(), value.isJsonPrimitive() ? value.getAsString() : value.toString());
        }
        return JsonParser.parseString(client.getCommonResponse(request).getData());
    }
}
